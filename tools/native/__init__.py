"""How the evaluator becomes one shared object: `setup.py` uses this, nothing of it is installed."""
