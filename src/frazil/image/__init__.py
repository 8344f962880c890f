"""Container images of store objects: what goes into them, where they go, what is said about them."""
