"""Optimal power flow of the IEEE 30 buses: ``karush solve examples/ieee30.py``, or run this file for the prices."""

import karush
import opf

network = opf.load(30)
problem = opf.problem(network)

if __name__ == "__main__":
    opf.show(network, karush.minimize(problem))
