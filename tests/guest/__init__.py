"""A whole machine under emulation: real kernel drivers (md, device mapper, NVMe, AHCI, SCSI, USB) over emulated drives.

`make guest` (`python -m tests.guest`) boots it with this checkout and this environment, lays Debian's storage tools over
them, and runs the tests of this folder inside, as root. All is emulated in software, which is slow: the gate does not run it,
and the times that it takes say nothing about a real machine.

`machine` is the hardware, `boot/` what runs before pytest; `monitor` and `drives` are used inside, where tests plug and pull.
"""
