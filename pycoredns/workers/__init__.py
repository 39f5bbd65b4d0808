"""Several processes that share a server's sockets, under a supervisor that keeps them and speaks for them."""
