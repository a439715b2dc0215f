"""Container images: names, layers, and what is left out of them."""
