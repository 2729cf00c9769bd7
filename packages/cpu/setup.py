"""What pyproject.toml cannot say: the cffi extension, its abi3 tag, and the pure wheel.

`RINGZERO_PURE=1 pip install ./packages/cpu` leaves the extension out: the wheel is then tagged for any platform and
needs no cffi to run. Without that variable a missing compiler fails the build loudly: a wheel that claims the
platform and holds no extension would be worse than none.
"""

from __future__ import annotations

import os
import sysconfig
from typing import Any

from setuptools import setup

DEPENDENCIES = ["click>=8.1", "pyelftools>=0.30", "rich>=13", "structlog>=23"]


def native_options() -> dict[str, Any]:
    """The keywords that build `ringzero._native`; none of them in a pure build."""
    if os.environ.get("RINGZERO_PURE", "") not in ("", "0"):
        return {"install_requires": DEPENDENCIES}
    options: dict[str, Any] = {
        "install_requires": [*DEPENDENCIES, "cffi>=1.17"],
        "cffi_modules": ["build_native.py:make_ffi"],
    }
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):  # free-threaded builds have no stable ABI yet
        options["options"] = {"bdist_wheel": {"py_limited_api": "cp311"}}
    return options


setup(**native_options())
