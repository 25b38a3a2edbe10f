"""`python -m qnat` is the command `qnat`."""

import sys

from qnat.cli import main

sys.exit(main())
