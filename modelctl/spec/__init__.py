"""What may a person write? Specs and the project file: text, places, shapes, overlays, schema."""
