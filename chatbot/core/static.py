"""Static files under names that carry a hash of what they hold."""

from __future__ import annotations

from django.contrib.staticfiles.storage import ManifestStaticFilesStorage


class ModuleManifestStorage(ManifestStaticFilesStorage):
    """Also rewrites the imports between ES modules to the hashed names."""

    support_js_module_import_aggregation = True
