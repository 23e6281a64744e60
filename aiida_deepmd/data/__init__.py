"""Data nodes that know their shapes, units, element order and checksum."""
