"""A program of its own: carries commands to one drive and its answers back. Run by `commands.py`, never imported.

A drive may leave an ioctl hanging for ever, and the process that waits for it cannot be killed: so it is this one.
Standard library only, so that it starts in about 10 ms (`python -I -S`). One line in, one line out:

    scsi <cdb, hex> <bytes to read>                         ->  <status> <host status> <sense, hex/-> <data, hex/->
    nvme <opcode> <nsid> <cdw10> <cdw11> <bytes to read>    ->  <status> 0 - <data, hex/->
    an error of the kernel                                  ->  error <errno>
"""

import fcntl
import os
import struct
import sys
from array import array

SG_IO = 0x2285
SG_DXFER_NONE = -1
SG_DXFER_FROM_DEV = -3
# struct sg_io_hdr of <scsi/sg.h>, in the machine's own layout.
SG_IO_HEADER = struct.Struct("@iiBBHIPPPIIiPBBBBHHiII")
SENSE_BYTES = 64

NVME_IOCTL_ADMIN_CMD = 0xC0484E41
# struct nvme_passthru_cmd of <linux/nvme_ioctl.h>.
NVME_COMMAND = struct.Struct("=BBHIIIQQIIIIIIIIII")

COMMAND_TIMEOUT_MS = 3000


def scsi(fd: int, cdb: bytes, length: int) -> str:
    command, sense, data = array("B", cdb), array("B", bytes(SENSE_BYTES)), array("B", bytes(max(length, 1)))
    header = bytearray(
        SG_IO_HEADER.pack(
            ord("S"), SG_DXFER_FROM_DEV if length else SG_DXFER_NONE, len(cdb), SENSE_BYTES, 0, length,
            data.buffer_info()[0], command.buffer_info()[0], sense.buffer_info()[0],
            COMMAND_TIMEOUT_MS, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        )
    )  # fmt: skip
    fcntl.ioctl(fd, SG_IO, header)
    answer = SG_IO_HEADER.unpack(header)
    status, sense_length, host_status, left = answer[13], answer[16], answer[17], answer[19]
    taken = max(0, length - max(0, left))
    return f"{status} {host_status} {sense[:sense_length].tobytes().hex() or '-'} {data[:taken].tobytes().hex() or '-'}"


def nvme(fd: int, opcode: int, nsid: int, cdw10: int, cdw11: int, length: int) -> str:
    data = array("B", bytes(length))
    command = bytearray(
        NVME_COMMAND.pack(
            opcode, 0, 0, nsid, 0, 0, 0, data.buffer_info()[0], 0, length,
            cdw10, cdw11, 0, 0, 0, 0, COMMAND_TIMEOUT_MS, 0,
        )
    )  # fmt: skip
    status = fcntl.ioctl(fd, NVME_IOCTL_ADMIN_CMD, command)
    return f"{status} 0 - {data.tobytes().hex()}"


def answer(fd: int, line: str) -> str:
    kind, *arguments = line.split()
    try:
        if kind == "scsi":
            return scsi(fd, bytes.fromhex(arguments[0]), int(arguments[1]))
        return nvme(fd, *(int(argument) for argument in arguments))
    except OSError as error:
        return f"error {error.errno}"


def main(path: str) -> None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        print(f"error {error.errno}", flush=True)
        return
    for line in sys.stdin:
        print(answer(fd, line), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
