package database

// few is a map of what one operation touches: so little that looking through it is cheaper than a map.
type few[K comparable, V any] []struct {
	key   K
	value V
}

func (f few[K, V]) get(key K) (value V, found bool) {
	for i := range f {
		if f[i].key == key {
			return f[i].value, true
		}
	}
	return value, false
}

func (f *few[K, V]) set(key K, value V) {
	for i := range *f {
		if (*f)[i].key == key {
			(*f)[i].value = value
			return
		}
	}
	*f = append(*f, struct {
		key   K
		value V
	}{key, value})
}
