//! Writes a file in bbolt's format, in which etcd keeps its snapshots.
//!
//! The format is that of bbolt's `page.go`, `bucket.go` and `db.go`, version 2: pages of 4 KiB, two
//! meta pages, a list of free pages (none here), and a B+ tree for each bucket. The file is made in
//! one go from sorted pairs, so that no page is ever free.

/// The size of a page.
const PAGE: usize = 4096;
/// The head of a page, of an element of a leaf, and of one of a branch.
const HEAD: usize = 16;
const MAGIC: u32 = 0xED0C_DAED;
const VERSION: u32 = 2;
const BRANCH: u16 = 0x01;
const LEAF: u16 = 0x02;
const META: u16 = 0x04;
const FREE_LIST: u16 = 0x10;
/// The flag of a leaf's element that is a bucket.
const BUCKET: u32 = 0x01;
/// Two meta pages and the list of free ones come first.
const FIRST_PAGE: u64 = 3;

/// A file in the making.
#[derive(Debug, Default)]
pub(crate) struct Bolt {
    /// The pages from the third on.
    pages: Vec<u8>,
    /// The buckets by name: where their tree begins, or nothing for an empty one.
    buckets: Vec<(Vec<u8>, Option<u64>)>,
}

struct Element {
    flags: u32,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Bolt {
    /// Adds a bucket. Names have to be added in their order, and pairs have to be in the order of
    /// their keys.
    pub(crate) fn add(&mut self, name: &str, pairs: impl Iterator<Item = (Vec<u8>, Vec<u8>)>) {
        let elements = pairs.map(|(key, value)| Element { flags: 0, key, value });
        let root = self.tree(elements);
        self.buckets.push((name.into(), root));
    }

    /// The file.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let buckets = std::mem::take(&mut self.buckets);
        let elements = buckets.into_iter().map(|(key, root)| {
            let mut value = Vec::new();
            value.extend(root.unwrap_or(0).to_le_bytes());
            // Its sequence.
            value.extend([0; 8]);
            if root.is_none() {
                // An empty bucket has its one page, without elements, within the value.
                push_head(&mut value, 0, LEAF, 0, 0);
            }
            Element { flags: BUCKET, key, value }
        });
        let root = self.tree(elements).unwrap_or_else(|| self.page(LEAF, 0, &[]));
        let end = self.next_page();
        let mut file = Vec::with_capacity(self.pages.len() + 3 * PAGE);
        for transaction in 0..2 {
            let mut page = Vec::with_capacity(PAGE);
            push_head(&mut page, transaction, META, 0, 0);
            page.extend(meta(root, end, transaction));
            page.resize(PAGE, 0);
            file.extend(page);
        }
        let mut free = Vec::with_capacity(PAGE);
        push_head(&mut free, 2, FREE_LIST, 0, 0);
        free.resize(PAGE, 0);
        file.extend(free);
        file.extend(self.pages);
        file
    }

    /// Writes a tree; the page where it begins, none without elements.
    fn tree(&mut self, elements: impl Iterator<Item = Element>) -> Option<u64> {
        let (mut children, mut leaf, mut bytes) = (Vec::new(), Vec::new(), HEAD);
        for element in elements {
            let size = HEAD + element.key.len() + element.value.len();
            if bytes + size > PAGE && !leaf.is_empty() {
                children.push(self.leaf(&std::mem::take(&mut leaf)));
                bytes = HEAD;
            }
            bytes += size;
            leaf.push(element);
        }
        if !leaf.is_empty() {
            children.push(self.leaf(&leaf));
        }
        while children.len() > 1 {
            children = self.branches(&children);
        }
        children.pop().map(|(_, page)| page)
    }

    /// Writes a page of elements; its first key and its number.
    fn leaf(&mut self, elements: &[Element]) -> (Vec<u8>, u64) {
        let mut body = Vec::new();
        let mut data = elements.len() * HEAD;
        for (index, element) in elements.iter().enumerate() {
            // Where its key begins, counted from this element.
            let place = data - index * HEAD;
            data += element.key.len() + element.value.len();
            for number in
                [element.flags, word(place), word(element.key.len()), word(element.value.len())]
            {
                body.extend(number.to_le_bytes());
            }
        }
        for element in elements {
            body.extend(&element.key);
            body.extend(&element.value);
        }
        let page = self.page(LEAF, elements.len(), &body);
        (elements[0].key.clone(), page)
    }

    /// Writes the level above these pages.
    fn branches(&mut self, children: &[(Vec<u8>, u64)]) -> Vec<(Vec<u8>, u64)> {
        let largest = children.iter().map(|(key, _)| HEAD + key.len()).max().unwrap_or(HEAD);
        // At least two, or the tree would never come to an end.
        let each = ((PAGE - HEAD) / largest).max(2);
        let mut above = Vec::new();
        for children in children.chunks(each) {
            let mut body = Vec::new();
            let mut data = children.len() * HEAD;
            for (index, (key, page)) in children.iter().enumerate() {
                let place = data - index * HEAD;
                data += key.len();
                body.extend(word(place).to_le_bytes());
                body.extend(word(key.len()).to_le_bytes());
                body.extend(page.to_le_bytes());
            }
            children.iter().for_each(|(key, _)| body.extend(key));
            let page = self.page(BRANCH, children.len(), &body);
            above.push((children[0].0.clone(), page));
        }
        above
    }

    /// Appends a page, with those it flows over into.
    fn page(&mut self, flags: u16, count: usize, body: &[u8]) -> u64 {
        let number = self.next_page();
        let pages = (HEAD + body.len()).div_ceil(PAGE);
        push_head(&mut self.pages, number, flags, count, pages - 1);
        self.pages.extend(body);
        let end = self.pages.len().next_multiple_of(PAGE);
        self.pages.resize(end, 0);
        number
    }

    fn next_page(&self) -> u64 {
        FIRST_PAGE + (self.pages.len() / PAGE) as u64
    }
}

fn push_head(out: &mut Vec<u8>, number: u64, flags: u16, count: usize, overflow: usize) {
    out.extend(number.to_le_bytes());
    out.extend(flags.to_le_bytes());
    let count = u16::try_from(count).expect("a page of 4 KiB has few elements");
    out.extend(count.to_le_bytes());
    out.extend(word(overflow).to_le_bytes());
}

fn meta(root: u64, end: u64, transaction: u64) -> Vec<u8> {
    let mut meta = Vec::new();
    for number in [MAGIC, VERSION, word(PAGE), 0] {
        meta.extend(number.to_le_bytes());
    }
    // The root bucket with its sequence, the list of free pages, the first page that is not used.
    for number in [root, 0, 2, end, transaction] {
        meta.extend(number.to_le_bytes());
    }
    let sum = fnv(&meta);
    meta.extend(sum.to_le_bytes());
    meta
}

/// FNV-1a, 64 bits.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

fn word(number: usize) -> u32 {
    u32::try_from(number).expect("pages and pairs are under 4 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_what_it_is() {
        let mut bolt = Bolt::default();
        bolt.add("empty", std::iter::empty());
        bolt.add("key", [(b"a".to_vec(), b"1".to_vec())].into_iter());
        let file = bolt.finish();
        assert_eq!(file.len(), 5 * PAGE);
        let flags: Vec<_> = file.chunks(PAGE).map(|page| u16::from(page[8])).collect();
        assert_eq!(flags, [META, META, FREE_LIST, LEAF, LEAF]);
        assert_eq!(file[16..20], MAGIC.to_le_bytes());
        // Published test value of the algorithm.
        assert_eq!(fnv(b"a"), 0xAF63_DC4C_8601_EC8C);
    }

    #[test]
    fn a_large_value_flows_over_and_many_pairs_make_a_tree() {
        let pairs = (0..1000_u32).map(|number| (number.to_be_bytes().to_vec(), vec![7; 100]));
        let mut bolt = Bolt::default();
        bolt.add("large", [(b"a".to_vec(), vec![1; 3 * PAGE])].into_iter());
        let after_large = bolt.next_page();
        assert_eq!(after_large, FIRST_PAGE + 4);
        bolt.add("many", pairs);
        let root = usize::try_from(bolt.next_page() - 1 - FIRST_PAGE).unwrap();
        assert_eq!(bolt.pages[root * PAGE + 8], 1, "the last page written is a branch");
    }
}
