// The MongoDB protocol over SQLite, as one program: FerretDB, for ratings v2 of Bookinfo in the lab.
//
//	ferretdb LISTEN FOLDER
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: ferretdb LISTEN FOLDER   (as in: ferretdb :27017 /var/lib/ferretdb)")
		os.Exit(2)
	}
	if err := serve(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve answers at `listen`, with everything kept in `folder`, until the process is asked to end.
func serve(listen, folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	database, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{TCP: listen},
		Handler:   "sqlite",
		SQLiteURL: "file:" + folder + "/",
	})
	if err != nil {
		return err
	}
	ended, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	fmt.Println("serving at", listen)
	return database.Run(ended)
}
