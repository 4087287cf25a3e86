"""`python -m ddsp_zoo.cli` is `ddsp-zoo`."""

import sys

from ddsp_zoo.cli import main

sys.exit(main())
