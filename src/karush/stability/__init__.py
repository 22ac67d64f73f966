"""Audit of a function, rewrites, repairs."""

from karush.stability.audit import audit as audit
from karush.stability.findings import Audit as Audit
from karush.stability.findings import AuditVerdict as AuditVerdict
from karush.stability.findings import Finding as Finding
from karush.stability.findings import Kind as Kind
from karush.stability.stabilize import Change as Change
from karush.stability.stabilize import Stabilized as Stabilized
from karush.stability.stabilize import stabilize as stabilize
