// Opens connections and holds them: hold (idle|sending ADDRESS PORT)...
package main

import (
	"net"
	"os"
	"sync"
	"time"
)

func hold(use, address, port string) {
	connection, err := net.Dial("tcp", net.JoinHostPort(address, port))
	if err != nil {
		panic(err)
	}
	defer connection.Close()
	for use == "sending" {
		if _, err := connection.Write([]byte(".")); err != nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	connection.Read(make([]byte, 1))
}

func main() {
	var holding sync.WaitGroup
	for rest := os.Args[1:]; len(rest) >= 3; rest = rest[3:] {
		use, address, port := rest[0], rest[1], rest[2]
		holding.Add(1)
		go func() {
			defer holding.Done()
			hold(use, address, port)
		}()
	}
	holding.Wait()
}
