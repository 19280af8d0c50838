// Counts the characters of input.text, in Go:
//
//	CC=worker-cc go build -buildmode=pie -ldflags '-linkmode external -s -w' -o count .
//	./count --test_input '{"input": {"text": "na\u00efve"}}'
//
// Jobs run on threads of the worker, several at once where --concurrency says so; Go gives each of
// them a goroutine. No module is fetched. The C that goes with it is in worker.c.
package main

/*
#include <stdlib.h>
#include <worker.h>

extern int handle(rp_job *job, void *user);
extern int start(int argc, char **argv);
extern int answer(rp_job *job, const char *json, size_t len);
extern int fail(rp_job *job, const char *why);
*/
import "C"

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"unicode/utf8"
	"unsafe"
)

type input struct {
	Text *string `json:"text"`
}

type output struct {
	Characters int `json:"characters"`
	Bytes      int `json:"bytes"`
}

func count(in input) (out output, err error) {
	// A panic would end the worker and every job in it.
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v", cause)
		}
	}()
	if in.Text == nil {
		return out, errors.New("input.text must be a string")
	}
	return output{utf8.RuneCountInString(*in.Text), len(*in.Text)}, nil
}

func fail(job *C.rp_job, err error) C.int {
	why := C.CString(err.Error())
	defer C.free(unsafe.Pointer(why))
	return C.fail(job, why)
}

//export handle
func handle(job *C.rp_job, _ unsafe.Pointer) C.int {
	text := C.rp_input_json(job)
	var in input
	err := json.Unmarshal(unsafe.Slice((*byte)(unsafe.Pointer(text.ptr)), int(text.len)), &in)
	if err != nil {
		return fail(job, err)
	}
	out, err := count(in)
	if err != nil {
		return fail(job, err)
	}
	result, err := json.Marshal(out)
	if err != nil {
		return fail(job, err)
	}
	return C.answer(job, (*C.char)(unsafe.Pointer(&result[0])), C.size_t(len(result)))
}

func main() {
	argv := make([]*C.char, len(os.Args)+1) // the last one stays NULL
	for i, arg := range os.Args {
		argv[i] = C.CString(arg)
	}
	os.Exit(int(C.start(C.int(len(os.Args)), &argv[0])))
}
