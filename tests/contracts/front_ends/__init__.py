"""Every way in, behind one face: `base.py` says which, and `every.py` has them all."""
