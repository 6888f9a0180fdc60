module isthmus.test/spire

go 1.25

require github.com/spiffe/spire v1.13.3
