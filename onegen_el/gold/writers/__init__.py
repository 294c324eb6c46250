"""Gold written in the formats other tools read; `onegen_el.gold.convert` is the door.

One module a format. Each writes what `onegen_el.gold` reads back, and counts what its format cannot hold.
"""
