"""Arrays in, arrays out: intervals by the conservation law, local calendars, tariffs, completeness."""
