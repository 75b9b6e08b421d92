module wgtools

go 1.26
