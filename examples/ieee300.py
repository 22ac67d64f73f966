"""Optimal power flow of the IEEE 300 buses: ``karush solve examples/ieee300.py``, or run this file for the prices."""

import karush
import opf

network = opf.load(300)
problem = opf.problem(network)

if __name__ == "__main__":
    opf.show(network, karush.minimize(problem))
