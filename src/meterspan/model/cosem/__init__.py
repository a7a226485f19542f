"""The COSEM object model (IEC 62056-6-2): interface classes as declarations, objects, profiles and access rights."""
