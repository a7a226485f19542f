"""What a meter is: object models as declarations, device profiles as data, and the records entities exchange."""
