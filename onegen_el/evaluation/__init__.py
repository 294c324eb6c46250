"""Scoring of linked documents against gold, and of the linker's speed."""
