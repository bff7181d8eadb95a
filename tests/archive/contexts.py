"""The two JSON-LD contexts that a description names, as far as its terms go, without a network.

The terms are mapped as the published contexts map them; a term that is not here is none, so that
a misspelt one is found.
"""

from __future__ import annotations

from typing import Any

SCHEMA = "http://schema.org/"
WFRUN = "https://w3id.org/ro/terms/workflow-run#"
_SCHEMA_TERMS = (
    "about", "additionalType", "contentSize", "CreateAction", "CreativeWork",
    "Dataset", "datePublished", "description", "encodingFormat", "endTime", "hasPart",
    "identifier", "instrument", "license", "mentions", "name", "object", "result",
    "SoftwareApplication", "softwareVersion", "startTime", "url", "version",
)  # fmt: skip
CONTEXTS: dict[str, Any] = {
    "https://w3id.org/ro/crate/1.1/context": {
        "@context": {
            **{term: SCHEMA + term for term in _SCHEMA_TERMS},
            "File": f"{SCHEMA}MediaObject",
            "conformsTo": "http://purl.org/dc/terms/conformsTo",
        }
    },
    "https://w3id.org/ro/terms/workflow-run/context": {
        "@context": {name: WFRUN + name for name in ("ContainerImage", "containerImage", "sha256")}
    },
}
