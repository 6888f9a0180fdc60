// Asks a server as grpc-go does: calls one after the other, a method that nobody serves, and large messages both ways.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const large = 1_000_000

func main() {
	if err := ask(os.Args[1]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func ask(target string) error {
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	for range 500 {
		out := &wrapperspb.BytesValue{}
		if err := conn.Invoke(ctx, "/test.Test/Same", wrapperspb.Bytes([]byte("hello")), out); err != nil {
			return err
		}
		if string(out.Value) != "hello" {
			return fmt.Errorf("another answer: %q", out.Value)
		}
	}
	err = conn.Invoke(ctx, "/test.Test/Nobody", wrapperspb.Bytes(nil), &wrapperspb.BytesValue{})
	fmt.Println("nobody:", status.Code(err))
	return both(ctx, conn)
}

func both(ctx context.Context, conn *grpc.ClientConn) error {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/test.Test/Mirror")
	if err != nil {
		return err
	}
	for range 50 {
		if err := stream.SendMsg(wrapperspb.Bytes(make([]byte, large))); err != nil {
			return err
		}
		got := &wrapperspb.BytesValue{}
		if err := stream.RecvMsg(got); err != nil {
			return err
		}
		if len(got.Value) != large {
			return fmt.Errorf("%d bytes", len(got.Value))
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	fmt.Println("end:", stream.RecvMsg(&wrapperspb.BytesValue{}))
	return nil
}
