"""`python -m ringzero` is the `ringzero` command."""

from __future__ import annotations

import sys

from ringzero.cli.main import main

sys.exit(main())
