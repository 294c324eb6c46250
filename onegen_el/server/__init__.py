"""The linker as a web service; `nif` is what is spoken, `app` who listens. Needs the extra `server`."""
