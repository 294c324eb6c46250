"""The parts of the model card: what is measured for it, read from files, and told as Markdown."""
