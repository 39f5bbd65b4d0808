"""The sub-commands of `pycoredns`, one module each: add_parser(subparsers) declares it, run(arguments) does it."""
