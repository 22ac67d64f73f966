"""Methods for problems without constraint rows, one textbook idea per file, behind one interface."""
