"""How the entities are chosen: a room for each step of kb/select_entities.py."""
