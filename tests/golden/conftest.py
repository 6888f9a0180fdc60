"""The option by which goldens are written anew."""


def pytest_addoption(parser):
    parser.addoption("--golden-rewrite", action="store_true", help="write what follows Expect anew")
