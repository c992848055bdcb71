"""Static files under names that carry a hash of what they hold."""

from __future__ import annotations

from django.contrib.staticfiles.storage import ManifestStaticFilesStorage

# The stubs do not know it.
_, _IMPORTS = ManifestStaticFilesStorage._js_module_import_aggregation_patterns  # type: ignore[attr-defined]


class ModuleManifestStorage(ManifestStaticFilesStorage):
    """Also rewrites the imports between our ES modules to the hashed names.

    Of ours alone: looking for imports in the bundles that others bring takes longer than the rest of
    a start of the server.
    """

    support_js_module_import_aggregation = True
    _js_module_import_aggregation_patterns = ("js/*.js", _IMPORTS)
