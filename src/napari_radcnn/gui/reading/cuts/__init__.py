"""Planes turned out of the patient's axes, and slabs, in the views of a viewer."""
