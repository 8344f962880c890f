"""Development environments: what a builder would see, given to a person's shell."""
