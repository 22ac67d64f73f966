"""The front door."""

from karush.api.laplace import laplace as laplace
from karush.api.minimize import certify as certify
from karush.api.minimize import maximize as maximize
from karush.api.minimize import minimize as minimize
from karush.api.minimize import prepare as prepare
from karush.api.multistart import MultistartResult as MultistartResult
from karush.api.multistart import multistart as multistart
from karush.api.options import Options as Options
from karush.api.prepared import Prepared as Prepared
