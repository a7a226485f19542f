"""The AMI head end system of TR 50572."""
