"""frazil for Python programs: `import frazil` and go on from there. The names are those of `frazil.__init__`."""
