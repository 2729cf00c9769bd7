"""The kernel: its sources, its configurations, and `build()`, which assembles it into an image.

from ringzero_kernel import CONFIGURATIONS, STAGES, build
"""

from __future__ import annotations

from ringzero_kernel.bugs import BUGS, Bug, bug
from ringzero_kernel.build import assemble_kernel, build
from ringzero_kernel.config import CONFIGURATIONS, STAGES, Configuration, configuration

__version__ = "0.1.0"

__all__ = [
    "BUGS",
    "CONFIGURATIONS",
    "STAGES",
    "Bug",
    "Configuration",
    "__version__",
    "assemble_kernel",
    "bug",
    "build",
    "configuration",
]
