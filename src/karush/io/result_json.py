"""Results and certificates as JSON documents; `schema.json` beside this file is their JSON Schema."""

import json
from typing import Any

import numpy as np

import karush
from karush.certificates.certificate import Certificate
from karush.io.trees import encode, numbers
from karush.solvers.result import Result

RESULT = "karush-result/1"
CERTIFICATE = "karush-certificate/1"
"""Names of the formats. The number goes up when a reader of the old one would go wrong; new keys do not raise it."""


def result_document(result: Result) -> dict[str, Any]:
    """JSON-ready dict of a result."""
    return {
        "schema": RESULT,
        "karush": karush.__version__,
        "problem": result.name,
        "sense": "maximize" if result.flat.maximize else "minimize",
        "x": encode(result.x),
        "value": numbers(result.value),
        "success": bool(result.success),
        "status": result.status.value,
        "message": result.message,
        "multipliers": {name: encode(part) for name, part in result.multipliers.items()},
        "prices": {name: encode(part) for name, part in result.prices.items()},
        "active": [
            {"name": item.name, "side": item.side, "limit": numbers(item.limit), "price": numbers(item.price)}
            for item in result.active
        ],
        "certificate": _certificate(result.certificate),
        "method": result.method,
        "why_method": result.why_method,
        "iterations": result.iterations,
        "evaluations": result.evaluations,
        "seconds": numbers(result.seconds),
        "notes": list(result.notes),
        "history": [{key: plain(item) for key, item in record.items()} for record in result.history],
    }


def certificate_document(certificate: Certificate, x: Any, name: str | None = None) -> dict[str, Any]:
    """JSON-ready dict of a certificate and the point, a pytree, that it is about."""
    return {
        "schema": CERTIFICATE,
        "karush": karush.__version__,
        "problem": name,
        "x": encode(x),
        "success": bool(certificate.success),
        "certificate": _certificate(certificate),
    }


def dumps(document: dict[str, Any]) -> str:
    """The document as text that every JSON reader takes: no ``NaN`` or ``Infinity``."""
    return json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False)


def plain(value: Any) -> Any:
    """Numbers, arrays, pytrees of them, texts, and dicts and lists of all these, as JSON has them."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return encode(value)


def _certificate(certificate: Certificate) -> dict[str, Any]:
    return {
        "verdict": certificate.verdict.value,
        "sentence": certificate.sentence,
        "entries": [
            {
                "name": entry.name,
                "value": numbers(entry.value),
                "bound": numbers(entry.bound),
                "ok": bool(entry.ok),
                "worst": entry.worst,
                "kind": entry.kind,
                "note": entry.note,
            }
            for entry in certificate.entries
        ],
        "violated": [{"name": name, "amount": numbers(amount)} for name, amount in certificate.violated],
        "dependent": list(certificate.dependent),
        "assumed": list(certificate.assumed),
        "notes": list(certificate.notes),
        "witness": plain(certificate.witness),
        "evaluation": certificate.evaluation,
        "scales": {
            "x": numbers(certificate.scales.x),
            "objective": numbers(certificate.scales.f),
            "rows": numbers(certificate.scales.rows),
        },
    }
