"""`python -m frazil`: the same as the installed program."""

import sys

from frazil.cli import main

sys.exit(main())
