"""How results are shown: one module per format."""
