"""What others build, written as somebody would who knows the libraries and means well."""
