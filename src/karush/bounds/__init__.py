"""Ranges, Lipschitz constants and convexity of functions on boxes."""

from karush.bounds.box import Box as Box
from karush.bounds.convexity import Convexity as Convexity
from karush.bounds.convexity import convexity as convexity
from karush.bounds.enclose import Enclosure as Enclosure
from karush.bounds.enclose import enclose as enclose
from karush.bounds.lipschitz import Lipschitz as Lipschitz
from karush.bounds.lipschitz import lipschitz as lipschitz
