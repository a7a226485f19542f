"""What a program is: its parts joined, its threads and services; commands call it, and it prints nothing."""
