"""The linker inside other libraries' pipelines, one module a library."""
