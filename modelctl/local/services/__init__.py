"""What does each RPC answer? A class for each kind of object, a method for each RPC."""
