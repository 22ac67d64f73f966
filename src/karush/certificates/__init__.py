"""What a point is, recomputed from the user's own functions and the returned numbers alone.

The formulas are in docs/certificate.md; `judge` reads as its table of contents.
"""

from karush.certificates.certificate import Certificate, Entry
from karush.certificates.judge import judge
from karush.certificates.scales import Scales, typical_scales

__all__ = ["Certificate", "Entry", "Scales", "judge", "typical_scales"]
