"""The types of Kubernetes objects: dicts as the API has them, so that no field is ever lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

KubeObject = dict[str, Any]
"""An object of the API, or a part of one, that we make or have just received."""
KubeView = Mapping[str, Any]
"""The same for whoever only reads it."""
